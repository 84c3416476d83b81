"""What an auditor needs, without a registry: Merkle trees, leaves, signed checkpoints, proofs. Standard library only.

Nothing here reads a file or a database; signatures are checked by what ``mdevreg.signing`` makes.
"""
