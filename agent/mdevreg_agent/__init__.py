"""What runs on a host: watch the kernel, read sysfs, publish version records. Imports nothing of the server."""
