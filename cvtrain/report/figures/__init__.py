"""Figures for paper and screen: vector and pixels, readable in grey and by the colour-blind."""
