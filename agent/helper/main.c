/* drover-agent-ceph: answers the agent's questions to Ceph; started by it, leaves when idle. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/rbd/serve.h"

int main(void)
{
    enum { HELPER_FD = 3 };
    int type = 0;
    socklen_t len = sizeof(type);
    if (getsockopt(HELPER_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET) {
        fprintf(stderr, "drover-agent-ceph is started by drover-agent, not by hand\n");
        return 64;
    }
    /* When the agent ends, also by SIGKILL, the socket closes and we leave. No PR_SET_PDEATHSIG:
     * that would fire when the agent's thread that started us ends. */
    fcntl(HELPER_FD, F_SETFD, FD_CLOEXEC);
    return rbd_serve(HELPER_FD);
}
