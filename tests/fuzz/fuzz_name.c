/*
 * Any bytes as a name: what may be created is encoded to letters that NATS can hold and comes back as itself. Any bytes
 * as the wire form: what decodes encodes to the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../../store/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = { (const char *)data, size };
	struct buf wire = { 0 }, back = { 0 };

	if (name_check_actor(input) == 0) {
		name_encode(&wire, input);
		for (size_t i = 0; i < wire.len; i++)
			must(wire.p[i] > ' ' && wire.p[i] < 0x7f && strchr(".*>/\\", wire.p[i]) == NULL);
		must(name_decode(&back, (struct span){ wire.p, wire.len }) == 0);
		must(span_eq(input, (struct span){ back.p, back.len }));
	}
	buf_clear(&wire);
	buf_clear(&back);
	if (size > 0 && name_decode(&back, input) == 0) {
		name_encode(&wire, (struct span){ back.p, back.len });
		must(span_eq(input, (struct span){ wire.p, wire.len }));
	}
	buf_free(&wire);
	buf_free(&back);
	return 0;
}
