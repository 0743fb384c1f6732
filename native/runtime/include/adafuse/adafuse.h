/* The library in C, for programs in C and for every language that calls C functions.
 *
 * Functions that can fail return a status; adafuse_error() then has the sentence.  No exception
 * leaves them.  What a function gives is the caller's to free, with the function of its name;
 * freeing NULL does nothing.  Text and arrays that are returned belong to the object that was
 * asked, and last as long as it does.
 *
 * Threads: any number may use one engine at the same time; a stream is used by one thread at a
 * time, and keeps alive what it needs of its engine; a prediction does not change.
 */
#ifndef ADAFUSE_ADAFUSE_H
#define ADAFUSE_ADAFUSE_H

#include <stddef.h>
#include <stdint.h>

#include "adafuse/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Grows by one when something is added; what is there stays as it is.  A program may want
 * adafuse_c_version() to be at least the version it was compiled with. */
#define ADAFUSE_C_VERSION 1
ADAFUSE_API int adafuse_c_version(void);
ADAFUSE_API const char* adafuse_version(void); /* of the library: "0.2.0" */

/* The outcome of a call, numbered as the exit codes of the command line. */
typedef enum {
  ADAFUSE_OK = 0,
  ADAFUSE_INVALID =
      1, /* a file, an option or an array cannot be used, or an answer is not finite */
  ADAFUSE_MISSING = 3,      /* the operator library or a runtime is missing */
  ADAFUSE_INCOMPATIBLE = 4, /* a graph was made for other versions or other operators */
  ADAFUSE_FAILED = 5        /* anything else, such as want of memory */
} adafuse_status;

/* The sentence of the last failure in this thread, until the next one; "" before any. */
ADAFUSE_API const char* adafuse_error(void);

typedef struct adafuse_engine adafuse_engine;
typedef struct adafuse_stream adafuse_stream;
typedef struct adafuse_prediction adafuse_prediction;

/* Options begin with their size, so that later versions can add some:
 *   adafuse_engine_options options = {sizeof options}; */
typedef struct {
  size_t size;
  int plain;                    /* not 0: without the operator library, at dense cost */
  const char* operator_library; /* NULL: the one that ADAFUSE_OPERATOR_LIBRARY names, or the one
                                   beside this library */
  int threads;                  /* of one operator; 0: one per core */
} adafuse_engine_options;

/* Opens a graph (.onnx) or an engine (.engine, .plan).  `options` may be NULL. */
ADAFUSE_API adafuse_status adafuse_engine_load(const char* path,
                                               const adafuse_engine_options* options,
                                               adafuse_engine** engine);
ADAFUSE_API void adafuse_engine_free(adafuse_engine* engine);

/* "onnxruntime + operator library", "onnxruntime", or what an engine was built for. */
ADAFUSE_API const char* adafuse_engine_name(const adafuse_engine* engine);
ADAFUSE_API const char* adafuse_engine_mode(const adafuse_engine* engine); /* "clip", "stream" */
ADAFUSE_API size_t adafuse_engine_classes(const adafuse_engine* engine);   /* K */
ADAFUSE_API size_t adafuse_engine_frames(const adafuse_engine* engine);    /* T, of a clip */
ADAFUSE_API size_t adafuse_engine_size(const adafuse_engine* engine);      /* S, height and width */
/* Seconds from a frame to the next in training, for clips and streams alike; 0: unknown. */
ADAFUSE_API double adafuse_engine_frame_spacing(const adafuse_engine* engine);
ADAFUSE_API size_t adafuse_engine_gates(const adafuse_engine* engine); /* G */
/* A class's name or, where names are unknown, its number; NULL where there is no such class. */
ADAFUSE_API const char* adafuse_engine_label(const adafuse_engine* engine, size_t index);
ADAFUSE_API const char* adafuse_engine_gate(const adafuse_engine* engine, size_t index);

/* Writes the centre frame of each of `segments` equally long parts of a video, counted from 0. */
ADAFUSE_API adafuse_status adafuse_center_indices(int64_t frames, int64_t segments,
                                                  int64_t* indices);

/* Makes network input (3, S, S) of a frame: 8-bit RGB (height, width, 3), rows without gaps. */
ADAFUSE_API adafuse_status adafuse_preprocess(const adafuse_engine* engine, const uint8_t* pixels,
                                              int height, int width, float* input);

/* Recognises clips (count, T, 3, S, S). */
ADAFUSE_API adafuse_status adafuse_run(const adafuse_engine* engine, const float* clips,
                                       size_t count, adafuse_prediction** prediction);

typedef struct {
  size_t size;
  size_t streams;        /* that advance together, B; 0: one */
  const char* consensus; /* "mean", "window", "ema", "last"; NULL: what the network wants */
  size_t window;         /* frames of "window"; 0: 8 */
  double decay;          /* of "ema"; 0: 0.9 */
} adafuse_stream_options;

/* Opens streams on a graph that was exported for them.  `options` may be NULL. */
ADAFUSE_API adafuse_status adafuse_stream_open(const adafuse_engine* engine,
                                               const adafuse_stream_options* options,
                                               adafuse_stream** stream);
ADAFUSE_API void adafuse_stream_free(adafuse_stream* stream);

/* Recognises the next frame of every stream, (B, 3, S, S): logits are those of the consensus so
 * far, the rest is this frame's. */
ADAFUSE_API adafuse_status adafuse_stream_push(adafuse_stream* stream, const float* frames,
                                               adafuse_prediction** prediction);

#define ADAFUSE_ALL_STREAMS ((size_t)-1)
/* Begins stream `index` anew, or all streams. */
ADAFUSE_API adafuse_status adafuse_stream_reset(adafuse_stream* stream, size_t index);

ADAFUSE_API void adafuse_prediction_free(adafuse_prediction* prediction);
ADAFUSE_API size_t adafuse_prediction_count(const adafuse_prediction* prediction);  /* B */
ADAFUSE_API size_t adafuse_prediction_frames(const adafuse_prediction* prediction); /* T, or 1 */
/* (B, K), after consensus, and (B, T, K), before it. */
ADAFUSE_API const float* adafuse_prediction_logits(const adafuse_prediction* prediction);
ADAFUSE_API const float* adafuse_prediction_frame_logits(const adafuse_prediction* prediction);
/* The multiply-accumulates that were needed, (B). */
ADAFUSE_API const int64_t* adafuse_prediction_macs(const adafuse_prediction* prediction);

enum { ADAFUSE_KEEP = 0, ADAFUSE_REUSE = 1, ADAFUSE_SKIP = 2 };
/* The policy of gate `index`, (B, T, C) of these actions, and C in `channels` (may be NULL); NULL
 * where there is no such gate. */
ADAFUSE_API const uint8_t* adafuse_prediction_policy(const adafuse_prediction* prediction,
                                                     size_t index, size_t* channels);
/* Writes the K classes' probabilities for one clip or stream, softmax of its logits. */
ADAFUSE_API adafuse_status adafuse_prediction_probabilities(const adafuse_prediction* prediction,
                                                            size_t index, float* probabilities);

#ifdef __cplusplus
}
#endif

#endif
