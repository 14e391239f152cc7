"""Training: fine-tuning a teacher and distilling a student from it (host world)."""
