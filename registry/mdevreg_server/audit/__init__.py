"""The log's tamper evidence in SQL: the tree, its checkpoints, and what verifying finds (docs/audit.md)."""
