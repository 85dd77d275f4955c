"""What a session starts with: TensorFlow comes in quietly, the data are found, a missing name is explained."""
