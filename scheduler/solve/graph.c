/* Tarjan's algorithm, without recursion: a graph may be one long chain. */
#include "lib/base/mem.h"
#include "scheduler/solve/graph.h"

int graph_parts(int n, const int *start, const int *of, int *ret_part)
{
    size_t size = (size_t)n + 1;
    cleanup(freep) int *low = xcalloc(size, sizeof(int)), *edge = xcalloc(size, sizeof(int));
    cleanup(freep) int *path = xcalloc(size, sizeof(int)), *open = xcalloc(size, sizeof(int));
    cleanup(freep) int *order = xcalloc(size, sizeof(int)); /* when a node was met; 0 not yet */
    int met = 0, parts = 0, n_open = 0;
    for (int a = 0; a < n; a++)
        ret_part[a] = -1;
    for (int root = 0; root < n; root++) {
        int depth = 0;
        if (order[root])
            continue;
        path[depth++] = root;
        while (depth) {
            int a = path[depth - 1];
            if (!order[a]) {
                order[a] = low[a] = ++met;
                edge[a] = start[a];
                open[n_open++] = a;
            }
            for (; edge[a] < start[a + 1]; edge[a]++) {
                int b = of[edge[a]];
                if (!order[b])
                    break;
                if (ret_part[b] < 0 && low[b] < low[a])
                    low[a] = low[b]; /* b is open: its own root is not above a's */
            }
            if (edge[a] < start[a + 1]) {
                path[depth++] = of[edge[a]]; /* a looks at this edge again when it is done */
                continue;
            }
            depth--;
            if (low[a] != order[a])
                continue;
            for (int b = -1; b != a; ret_part[b] = parts)
                b = open[--n_open];
            parts++;
        }
    }
    return parts;
}
