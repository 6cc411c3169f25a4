"""What a person reads: only renders values from the layers below."""
