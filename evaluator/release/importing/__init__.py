"""The parts of an import: shards, rows, sources, splits, images, staging, tables. See evaluator.release.importer."""
