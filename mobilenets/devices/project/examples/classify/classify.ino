/* Runs one picture through the network, again and again, and prints the answer and the time. */
#include <mobilenets_@name@.h>
#include <mobilenets_@name@_example.h>

static uint8_t arena[MOBILENETS_@NAME@_ARENA_BYTES] __attribute__((aligned(8)));
static int8_t logits[MOBILENETS_@NAME@_CLASSES];

void setup() { Serial.begin(115200); }

void loop() {
    unsigned long start = micros();
    int wrong = 0, best = mobilenets_@name@_run(mobilenets_@name@_pixels, logits, arena);
    unsigned long taken = micros() - start;
    for (int i = 0; i < MOBILENETS_@NAME@_CLASSES; i++) wrong += logits[i] != mobilenets_@name@_logits[i];
    Serial.print(MOBILENETS_@NAME@_LABELS[best]);
    Serial.print(", ");
    Serial.print(taken);
    Serial.print(" us, ");
    Serial.print(wrong);
    Serial.println(" logits differ from those of the host");
    delay(1000);
}
