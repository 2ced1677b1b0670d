"""The simulated world (world-0.1): venues and short studies, and people whose way of judging them is known exactly."""
