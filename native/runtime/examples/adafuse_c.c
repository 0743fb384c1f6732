/* The likeliest class of a video, in C: raw RGB frames from standard input.
 *
 *   ffmpeg -i video.mp4 -pix_fmt rgb24 -f rawvideo - | adafuse_c model.onnx 640 480
 */
#include <adafuse/adafuse.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(adafuse_status status) {
  fprintf(stderr, "Error: %s\n", adafuse_error());
  return status;
}

/* Returns all of standard input and sets `bytes`. */
static uint8_t* read_all(size_t* bytes) {
  size_t room = 1 << 20, got = 0;
  uint8_t* memory = malloc(room);
  while (memory != NULL && (got = fread(memory + *bytes, 1, room - *bytes, stdin)) > 0) {
    *bytes += got;
    if (*bytes == room) {
      memory = realloc(memory, room *= 2);
    }
  }
  return memory;
}

/* Makes a clip of a video and prints the class that the engine sees in it. */
static adafuse_status classify(const adafuse_engine* engine, const uint8_t* pixels, int64_t frames,
                               int height, int width) {
  const size_t segments = adafuse_engine_frames(engine), size = adafuse_engine_size(engine);
  const size_t classes = adafuse_engine_classes(engine), frame = (size_t)height * width * 3;
  int64_t* indices = malloc(segments * sizeof *indices);
  float* clip = malloc(segments * 3 * size * size * sizeof *clip);
  float* shares = malloc(classes * sizeof *shares);
  adafuse_prediction* prediction = NULL;
  adafuse_status status = adafuse_center_indices(frames, (int64_t)segments, indices);
  for (size_t i = 0; i < segments && status == ADAFUSE_OK; ++i) {
    status = adafuse_preprocess(engine, pixels + (size_t)indices[i] * frame, height, width,
                                clip + i * 3 * size * size);
  }
  if (status == ADAFUSE_OK) {
    status = adafuse_run(engine, clip, 1, &prediction);
  }
  if (status == ADAFUSE_OK) {
    status = adafuse_prediction_probabilities(prediction, 0, shares);
  }
  if (status == ADAFUSE_OK) {
    size_t best = 0;
    for (size_t i = 1; i < classes; ++i) {
      best = shares[i] > shares[best] ? i : best;
    }
    printf("%s %.3f, %lld MACs\n", adafuse_engine_label(engine, best), shares[best],
           (long long)adafuse_prediction_macs(prediction)[0]);
  }
  adafuse_prediction_free(prediction);
  free(shares);
  free(clip);
  free(indices);
  return status;
}

int main(int argc, char** argv) {
  if (argc != 4 || atoi(argv[2]) <= 0 || atoi(argv[3]) <= 0) {
    fprintf(stderr, "usage: %s MODEL.onnx WIDTH HEIGHT < FRAMES.rgb\n", argv[0]);
    return 2;
  }
  const int width = atoi(argv[2]), height = atoi(argv[3]);
  adafuse_engine* engine = NULL;
  adafuse_status status = adafuse_engine_load(argv[1], NULL, &engine);
  if (status != ADAFUSE_OK) {
    return fail(status);
  }
  size_t bytes = 0;
  uint8_t* pixels = read_all(&bytes);
  status = classify(engine, pixels, (int64_t)(bytes / ((size_t)width * height * 3)), height, width);
  free(pixels);
  adafuse_engine_free(engine);
  return status == ADAFUSE_OK ? 0 : fail(status);
}
