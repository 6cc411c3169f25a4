"""What rules do, asked of the kernel probe by probe; and what is different between two rule sets."""
