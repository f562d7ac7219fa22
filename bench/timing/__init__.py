"""Time, memory and energy of rollouts: clocks, samples, flags."""
