"""What a document is: one module a collection, its validator and its indexes beside the model."""
