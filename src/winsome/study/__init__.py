"""Comparisons of arms over densities and seeds: a study is data, its jobs are resumable, its executor is exchangeable."""
