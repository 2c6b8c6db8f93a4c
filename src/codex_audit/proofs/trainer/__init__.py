"""The trial of a trainer: it learns, is killed, resumes, and is compared with itself."""
