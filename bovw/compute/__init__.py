"""What every stage computes with: kernels, threads, processes, memory."""
