"""What a session starts with: a quiet TensorFlow, the data where they are, a missing name explained."""
