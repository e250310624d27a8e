"""The library behind `import bench`: running, making and measuring models, reading results, and what there is."""
