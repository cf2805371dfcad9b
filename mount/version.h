/* Aether's version, in this one place. */
#ifndef AETHER_MOUNT_VERSION_H
#define AETHER_MOUNT_VERSION_H

#define AETHER_VERSION "0.1.0"

#endif
