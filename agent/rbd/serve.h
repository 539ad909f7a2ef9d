/* agent/rbd/serve.h: the helper's side of the socket: questions in, answers out.
 * Shapes   fd is a SOCK_SEQPACKET socket; one message is one JSON text, rbd_ask in, rbd_answer out.
 * Ends     when the other side closes, or after RBD_IDLE_S without a question. Returns the exit code.
 * Thread   makes its own; a fixed few questions run at once. */
#pragma once

int rbd_serve(int fd);
