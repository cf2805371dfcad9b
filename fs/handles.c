#include "handles.h"

#include <stddef.h>

void
handles_init(struct handles *hs)
{
	lock_init(&hs->lock, LOCK_HANDLES);
	hs->first = NULL;
}

void
handles_add(struct handles *hs, struct handle *h)
{
	lock_take(&hs->lock);
	h->next = hs->first;
	h->link = &hs->first;
	if (h->next != NULL)
		h->next->link = &h->next;
	hs->first = h;
	lock_give(&hs->lock);
}

void
handles_remove(struct handles *hs, struct handle *h)
{
	lock_take(&hs->lock);
	*h->link = h->next;
	if (h->next != NULL)
		h->next->link = h->link;
	lock_give(&hs->lock);
}

void
handles_destroy(struct handles *hs)
{
	struct handle *h;

	while ((h = hs->first) != NULL) {
		hs->first = h->next;
		h->free(h);
	}
	lock_destroy(&hs->lock);
}
