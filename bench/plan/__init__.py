"""From a suite to cells and steps: what there is to do, and under which key it is filed."""
