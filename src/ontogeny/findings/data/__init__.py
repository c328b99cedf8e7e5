"""What questions are asked of: alignment as cells, models as columns, tables of a publication, areas and networks."""
