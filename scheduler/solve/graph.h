/* scheduler/solve/graph.h: strongly connected parts of a directed graph.   PURE.
 * Shapes   nodes 0 … n − 1; node a points at of[start[a]] … of[start[a + 1] − 1].
 * Owner    borrows the arrays.   Thread any. */
#pragma once

/* ret_part: per node the number of its part. Parts are numbered so that a part points only at parts
 * with smaller numbers. Returns how many there are. */
int graph_parts(int n, const int *start, const int *of, int *ret_part);
