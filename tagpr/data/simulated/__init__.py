"""The simulated world (world-1.0): venues and short studies, and people whose way of judging them is known exactly."""
