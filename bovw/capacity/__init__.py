"""What a collection will take: disk, memory, time."""
