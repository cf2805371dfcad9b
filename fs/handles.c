#include "handles.h"

#include <stddef.h>

void
handles_init(struct handles *hs)
{
	pthread_mutex_init(&hs->lock, NULL);
	hs->first = NULL;
}

void
handles_add(struct handles *hs, struct handle *h)
{
	pthread_mutex_lock(&hs->lock);
	h->next = hs->first;
	h->link = &hs->first;
	if (h->next != NULL)
		h->next->link = &h->next;
	hs->first = h;
	pthread_mutex_unlock(&hs->lock);
}

void
handles_remove(struct handles *hs, struct handle *h)
{
	pthread_mutex_lock(&hs->lock);
	*h->link = h->next;
	if (h->next != NULL)
		h->next->link = h->link;
	pthread_mutex_unlock(&hs->lock);
}

void
handles_destroy(struct handles *hs)
{
	struct handle *h;

	while ((h = hs->first) != NULL) {
		hs->first = h->next;
		h->free(h);
	}
	pthread_mutex_destroy(&hs->lock);
}
