"""Patches between the files of deployed versions, and block digests: made beside the artifacts, and made again when lost."""
