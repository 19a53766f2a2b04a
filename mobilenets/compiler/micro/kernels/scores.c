void mobilenets_@_scores(const int8_t *logits, float *scores) {
    int i;
    for (i = 0; i < CLASSES; i++) scores[i] = LOGIT_SCALE * (float)(logits[i] - LOGIT_ZERO);
    OUTPUT(scores, CLASSES, scores);
}
