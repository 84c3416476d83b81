"""Any period of a registry's log as files: JSON lines or Parquet, with a manifest (``docs/export.md``)."""
