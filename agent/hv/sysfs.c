#include "agent/hv/sysfs.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"

bool sysfs_is_bridge(const char *dev)
{
    cleanup(freep) char *path = xasprintf("/sys/class/net/%s/bridge", dev);
    struct stat st;
    return !strchr(dev, '/') && stat(path, &st) == 0;
}

bool sysfs_is_up(const char *dev)
{
    cleanup(freep) char *path = xasprintf("/sys/class/net/%s/flags", dev);
    cleanup(freep) char *text = NULL;
    if (strchr(dev, '/') || file_read(path, 64, &text, NULL, NULL) < 0)
        return false;
    return strtoul(text, NULL, 16) & IFF_UP;
}

int64_t meminfo_get(const char *text, const char *key, int64_t scale)
{
    size_t len = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, len) == 0 && line[len] == ':')
            return strtoll(line + len + 1, NULL, 10) * scale;
    return -1;
}
