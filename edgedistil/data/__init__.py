"""From a recipe's `data` to checked, tokenised splits on disk (host world: needs `datasets`)."""
