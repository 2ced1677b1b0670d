"""The rewards as other trainers call them: TRL's GRPOTrainer and verl's custom reward functions, both unchanged."""
