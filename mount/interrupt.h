/*
 * Being asked to stop (SIGINT, SIGTERM, SIGHUP), for commands that end in good order. Owns the dispositions of these signals; one thread.
 */
#ifndef AETHER_MOUNT_INTERRUPT_H
#define AETHER_MOUNT_INTERRUPT_H

#include <stdbool.h>

/*
 * From now on the first of these signals is only noted, and ends blocking calls with EINTR; a second one kills as ever. What is ignored, as
 * by nohup, stays so.
 */
void interrupt_catch(void);

bool interrupt_seen(void);

#endif
