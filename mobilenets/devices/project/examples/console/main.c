/* Runs one picture through the network and prints the answer. Returns 0 if every logit is that of the host. */
#include "mobilenets_@name@.h"
#include "mobilenets_@name@_example.h"

#include <stdio.h>

static uint8_t arena[MOBILENETS_@NAME@_ARENA_BYTES] __attribute__((aligned(8)));
static int8_t logits[MOBILENETS_@NAME@_CLASSES];
static float scores[2 * MOBILENETS_@NAME@_CLASSES];

int main(void) {
    int wrong = 0, best = mobilenets_@name@_run(mobilenets_@name@_pixels, logits, arena);
    mobilenets_@name@_scores(logits, scores);
    for (int i = 0; i < MOBILENETS_@NAME@_CLASSES; i++) wrong += logits[i] != mobilenets_@name@_logits[i];
    printf("%d/1000 %s\n", (int)(1000 * scores[MOBILENETS_@NAME@_CLASSES + best] + 0.5f), MOBILENETS_@NAME@_LABELS[best]);
    printf("%d of %d logits differ from those of the host\n", wrong, MOBILENETS_@NAME@_CLASSES);
    return wrong != 0;
}
