"""Distillation: what a recipe is, the loop that follows it, the judgement of what comes out, and distilled sets."""
