"""The project's data: catalogue, blobs, import, splits, immutable dataset versions, acceptance set."""
