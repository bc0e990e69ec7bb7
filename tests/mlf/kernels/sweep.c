/* The largest error of each function of vectors.h over floats of every magnitude, in units in the last place of the
 * exact result. Prints "name error at"; every STEP-th bit pattern is tried. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "vectors.h"

static double ulps(float got, long double exact) {
  if (isnan(exact)) return isnan(got) ? 0 : 1e9;
  const float nearest = (float)exact;
  if (isinf(nearest) || isinf(got)) return got == nearest ? 0 : 1e9;
  int exponent;
  frexpl(exact, &exponent);
  return (double)(fabsl((long double)got - exact) / ldexpl(1, exact == 0 || exponent < -125 ? -149 : exponent - 24));
}

static long double sigmoidl(long double x) { return 1 / (1 + expl(-x)); }
static long double rsqrtl(long double x) { return 1 / sqrtl(x); }

static turnkey_floats run_exp(turnkey_floats x) { return turnkey_exp(x); }
static turnkey_floats run_tanh(turnkey_floats x) { return turnkey_tanh(x); }
static turnkey_floats run_erf(turnkey_floats x) { return turnkey_erf(x); }
static turnkey_floats run_sigmoid(turnkey_floats x) { return turnkey_sigmoid(x); }
static turnkey_floats run_rsqrt(turnkey_floats x) { return turnkey_rsqrt(x); }

static void sweep(const char *name, turnkey_floats (*run)(turnkey_floats), long double (*exact)(long double), uint32_t from, uint32_t to) {
  double worst = 0;
  float at = 0;
  for (uint64_t start = from; start < to; start += (uint64_t)STEP * TURNKEY_LANES) {
    float in[TURNKEY_LANES], out[TURNKEY_LANES];
    for (int i = 0; i < TURNKEY_LANES; ++i) {
      const uint32_t bits = (uint32_t)(start + (uint64_t)STEP * (uint64_t)i);
      memcpy(&in[i], &bits, 4);
    }
    turnkey_store(out, run(turnkey_load(in)));
    for (int i = 0; i < TURNKEY_LANES; ++i) {
      const double error = ulps(out[i], exact(in[i]));
      if (error > worst) worst = error, at = in[i];
    }
  }
  printf("%s %.3f %a\n", name, worst, (double)at);
}

int main(void) {
  sweep("exp", run_exp, expl, 0, 0xffffffffu);
  sweep("tanh", run_tanh, tanhl, 0, 0xffffffffu);
  sweep("erf", run_erf, erfl, 0, 0xffffffffu);
  sweep("sigmoid", run_sigmoid, sigmoidl, 0, 0xffffffffu);
  sweep("rsqrt", run_rsqrt, rsqrtl, 0, 0xffffffffu);
  sweep("rsqrt_of_infinity", run_rsqrt, rsqrtl, 0x7f800000u, 0x7f800001u);
  return 0;
}
