"""Work and searches spread over several machines."""
