"""On import: TensorFlow comes in quietly, and a missing name says what to do."""
