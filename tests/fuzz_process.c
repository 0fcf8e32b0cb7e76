/* fuzz_process.c - what the two sides of a worker process read: any bytes as a reply or a request

   fuzz_process [SECONDS [SEED]]    good messages, each with random changes, for so long (2)

   With another tool, which then has its own main:
   clang -std=c11 -g -DFUZZ_NO_MAIN -fsanitize=fuzzer,address,undefined -I.. -I. fuzz_process.c

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"

enum { NUMBER = 7 };

/* What a reply must be, said once more in another way. */
static bool is_reply(const uint8_t *bytes, size_t size) {
    uint32_t word[3];
    bool ends = false;
    if (size != sizeof word + sizeof((cth__reply *)0)->error) {
        return false;
    }
    memcpy(word, bytes, sizeof word);
    for (size_t i = sizeof word; i < size; i++) {
        ends = ends || bytes[i] == 0;
    }
    return word[0] == CTH__REPLY && word[1] == NUMBER && word[2] < CTH_FAILED + 1 && ends;
}

/* A task that uses all that it was given. */
static size_t expected_arg, expected_result, ran;

static cth_status uses_all(void *arg, void *result) {
    memset(arg, 0x11, expected_arg);
    for (size_t i = 0; i < expected_result; i++) {
        CHECK_EQ(((unsigned char *)result)[i], 0);
    }
    memset(result, 0x22, expected_result);
    ran++;
    return CTH_OK;
}

/* The parent: it takes as a reply what is one. */
static void read_reply(const uint8_t *bytes, size_t size) {
    cth__reply reply;
    if (is_reply(bytes, size)) {
        CHECK(cth__reply_read(&reply, bytes, size, NUMBER));
        CHECK(strlen(reply.error) < sizeof reply.error);
    } else {
        CHECK(!cth__reply_read(&reply, bytes, size, NUMBER));
    }
}

/* The worker: it stays in the memory it has, which ends where the block ends. */
static void read_request(const uint8_t *bytes, size_t size) {
    const size_t room = size > 0 ? (size_t)bytes[size - 1] * 16 : 0;
    unsigned char *shared = (unsigned char *)malloc(room + 1);
    unsigned char reply[sizeof(cth__reply) + 1];
    cth__request request;
    CHECK(shared != NULL);
    memset(shared, 0xee, room + 1);
    memset(&request, 0, sizeof request);
    memcpy(&request, bytes, size < sizeof request ? size : sizeof request);
    request.fn = cth__fn_to_offset(uses_all); // that one is the parent's word
    expected_arg = (size_t)request.arg_size;
    expected_result = (size_t)request.result_size;
    const size_t before = ran;
    const size_t asked = size < sizeof request ? size : sizeof request;
    if (cth__hook_answer(&request, asked, shared, room, reply, false) != 0) {
        CHECK_EQ(ran, before + 1);
        CHECK(request.kind == CTH__REQUEST && asked == sizeof request);
        CHECK(expected_arg <= room && expected_result <= room - expected_arg);
    } else {
        CHECK_EQ(ran, before);
    }
    CHECK_EQ(shared[room], 0xee);
    free(shared);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    read_reply(bytes, size);
    read_request(bytes, size);
    return 0;
}

#ifndef FUZZ_NO_MAIN
int main(int argc, char **argv) {
    const cth_time deadline = cth_after(CTH_S(argc > 1 ? atoi(argv[1]) : 2));
    const cth__reply reply = {CTH__REPLY, NUMBER, CTH_OK, ""};
    cth_rng rng;
    size_t rounds = 0, replies = 0;
    cth_rng_seed(&rng, argc > 2 ? strtoull(argv[2], NULL, 0) : 1);
    while (cth_now() < deadline) {
        for (int i = 0; i < 1000; i++, rounds++) {
            uint8_t bytes[sizeof reply + 64];
            memset(bytes, 0, sizeof bytes);
            cth__request request = {CTH__REQUEST,
                                    NUMBER,
                                    0,
                                    CTH__CHILD_HEAD + cth_rng_next(&rng) % 500,
                                    cth_rng_next(&rng) % 3000,
                                    0,
                                    cth_rng_next(&rng) % 3000,
                                    0};
            request.result_at = request.arg_at + request.arg_size + cth_rng_next(&rng) % 100;
            const bool is_request = cth_rng_next(&rng) % 2 == 0;
            size_t size = is_request ? sizeof request : sizeof reply;
            memcpy(bytes, is_request ? (const void *)&request : &reply, size);
            if (is_request) {
                bytes[size++] = (uint8_t)cth_rng_next(&rng); // the room
            }
            if (cth_rng_next(&rng) % 4 == 0) {
                size = cth_rng_next(&rng) % sizeof bytes;
            }
            for (uint64_t n = cth_rng_next(&rng) % 4; n > 0; n--) {
                bytes[cth_rng_next(&rng) % sizeof bytes] ^= (uint8_t)(1U << cth_rng_next(&rng) % 8);
            }
            replies += is_reply(bytes, size);
            (void)LLVMFuzzerTestOneInput(bytes, size);
        }
    }
    printf("%zu messages: %zu good replies, %zu good requests\n", rounds, replies, ran);
    return replies > 0 && ran > 0 && replies < rounds && ran < rounds ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif
