"""What tests share: embedded servers, real processes, and waiting for a condition instead of for a time."""
