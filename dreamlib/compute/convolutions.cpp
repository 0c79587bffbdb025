// Convolutions with 3x3 weights, stride 1 and one row of zeros on each side, for CPUs.
//
// With many channels by Winograd's minimal filtering F(4x4, 3x3). A tile of 4x4 results needs 6x6 pixels and, computed
// directly, 4 * 4 * 9 = 144 products for every pair of channels. Between three small linear transforms it needs 36
// (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016, section 4.3):
//
//     y = A' [ (G g G') * (B' d B) ] A           g weights (3x3), d pixels (6x6), y results (4x4), * number by number
//
// Summed over the channels of d, the middle is 36 independent matrix products, one for every place p of the 6x6:
// (tiles x channels) times (channels x output channels). Its transpose gives the gradient by the weights. With few
// channels, as in a network's first layer, directly: one matrix product, whose factor is the padded image itself.
//
// Maps are float32 or bfloat16 and channels last: (n, h, w, c) in memory. Transforms and sums are float32. So are the
// factors of Winograd's products, or they are rounded to bfloat16 (the template parameter F), of which a processor may
// multiply twice as many. Many channels, and output channels, are multiples of PANEL.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

using index = std::ptrdiff_t;

#ifdef __AVX512F__
constexpr index W = 16;    // numbers in a vector
constexpr index ROWS = 12; // of a matrix product that are computed together, see PANEL
#else
constexpr index W = 8;
constexpr index ROWS = 6;
#endif
// Columns that are computed together: two vectors. That takes ROWS * 2 sums, 2 vectors of one factor, and one of the
// other: 15 of 16 registers, or 27 of AVX-512's 32.
constexpr index PANEL = 2 * W;
constexpr index SHORT = W / 2; // rows of a product of c rows: a divisor of PANEL, as ROWS is not
constexpr index P = 36;        // places of a transformed tile
constexpr index PAD = 32;      // numbers between two places, so that equal offsets do not share a set of the cache

typedef float vec __attribute__((vector_size(4 * W)));
typedef float vec_in_memory __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef std::uint32_t words __attribute__((vector_size(4 * W)));
typedef std::uint16_t halves __attribute__((vector_size(2 * W), aligned(2), may_alias));

struct bfloat16 {
    std::uint16_t bits = 0; // the upper half of a float32
};

// The nearest bfloat16, ties to even, in the upper half of each word; the lower half is garbage.
inline words rounded(vec value) {
    // All bits, or none for NaN, which is replaced: the sum could carry it into another number.
    words bits = (words)value, number = (words)(value == value);
    return ((bits + 0x7fff + ((bits >> 16) & 1)) & number) | (0x7fc00000 & ~number);
}

inline vec load(const float *from) { return *reinterpret_cast<const vec_in_memory *>(from); }
inline vec load(const bfloat16 *from) {
    return (vec)(__builtin_convertvector(*reinterpret_cast<const halves *>(from), words) << 16);
}
inline void store(float *to, vec value) { *reinterpret_cast<vec_in_memory *>(to) = value; }
inline void store(bfloat16 *to, vec value) {
#ifdef __AVX512BF16__
    *reinterpret_cast<halves *>(to) = (halves)_mm512_cvtneps_pbh((__m512)value);
#else
    *reinterpret_cast<halves *>(to) = __builtin_convertvector(rounded(value) >> 16, halves);
#endif
}
inline vec splat(float value) { return value - vec{}; }
inline void put(bfloat16 *to, float value) { to->bits = std::uint16_t(rounded(splat(value))[0] >> 16); }

// How factors of products lie in memory: those of DEPTH following terms of a sum are next to each other.
template <typename F> struct Factors;

template <> struct Factors<float> {
    static constexpr index DEPTH = 1;
    typedef vec Vector;
    static Vector load(const float *from) { return ::load(from); }
    static Vector splat(const float *from) { return ::splat(*from); }
    static vec add(vec sum, Vector a, Vector b) { return sum + a * b; }
    static void store(float *to, const vec (*terms)[P], index p) { ::store(to, terms[0][p]); }
};

template <> struct Factors<bfloat16> {
    static constexpr index DEPTH = 2;
    typedef std::uint32_t Vector __attribute__((vector_size(4 * W), aligned(2), may_alias));
    typedef std::uint32_t Pair __attribute__((aligned(2), may_alias));
    static Vector load(const bfloat16 *from) { return *reinterpret_cast<const Vector *>(from); }
    static Vector splat(const bfloat16 *from) { return *reinterpret_cast<const Pair *>(from) - Vector{}; }
    static vec add(vec sum, Vector a, Vector b) {
#ifdef __AVX512BF16__
        return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
        sum += (vec)(words)(a << 16) * (vec)(words)(b << 16);
        return sum + (vec)(words)(a & 0xffff0000) * (vec)(words)(b & 0xffff0000);
#endif
    }
    static void store(bfloat16 *to, const vec (*terms)[P], index p) {
        *reinterpret_cast<Vector *>(to) = (rounded(terms[0][p]) >> 16) | (rounded(terms[1][p]) & 0xffff0000);
    }
};

inline index ceil_div(index a, index b) { return (a + b - 1) / b; }

int thread() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

// The transforms of one row or column: values of polynomials at the points 0, NEAR, -NEAR, FAR, -FAR and infinity.
// With these rounding costs half of what it does with the usual 1 and 2 (measured); they and their powers are exact.
constexpr float NEAR = 3 / 4.f, FAR = 3 / 2.f, NEAR2 = NEAR * NEAR, FAR2 = FAR * FAR;

// B': six pixels to six places.
inline void of_pixels(const vec *d, vec *t) {
    vec a = d[4] - FAR2 * d[2], b = NEAR * (d[3] - FAR2 * d[1]);
    vec c = d[4] - NEAR2 * d[2], e = FAR * (d[3] - NEAR2 * d[1]);
    t[0] = NEAR2 * FAR2 * d[0] - (NEAR2 + FAR2) * d[2] + d[4];
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = NEAR2 * FAR2 * d[1] - (NEAR2 + FAR2) * d[3] + d[5];
}

// A': six places to four results.
inline void to_results(const vec *m, vec *y) {
    vec a = m[1] + m[2], b = NEAR * (m[1] - m[2]), c = m[3] + m[4], e = FAR * (m[3] - m[4]);
    y[0] = m[0] + a + c;
    y[1] = b + e;
    y[2] = NEAR2 * a + FAR2 * c;
    y[3] = NEAR2 * b + FAR2 * e + m[5];
}

// A: four gradients of results to six places.
inline void of_results(const vec *y, vec *m) {
    vec a = y[0] + NEAR2 * y[2], b = NEAR * (y[1] + NEAR2 * y[3]);
    vec c = y[0] + FAR2 * y[2], e = FAR * (y[1] + FAR2 * y[3]);
    m[0] = y[0];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = c + e;
    m[4] = c - e;
    m[5] = y[3];
}

// G: three weights to six places; each point's row is divided by its distances from the others.
constexpr float AT_0 = 1 / (NEAR2 * FAR2), AT_NEAR = 1 / (2 * NEAR2 * (NEAR2 - FAR2)),
                AT_FAR = 1 / (2 * FAR2 * (FAR2 - NEAR2));
constexpr float G[6][3] = {{AT_0, 0, 0},
                           {AT_NEAR, NEAR * AT_NEAR, NEAR2 * AT_NEAR},
                           {AT_NEAR, -NEAR * AT_NEAR, NEAR2 * AT_NEAR},
                           {AT_FAR, FAR * AT_FAR, FAR2 * AT_FAR},
                           {AT_FAR, -FAR * AT_FAR, FAR2 * AT_FAR},
                           {0, 0, 1}};

// Maps of one side of a convolution, and how their tiles are counted: image by image, row by row.
struct Maps {
    index n, h, w, c;
    index down() const { return ceil_div(h, 4); }
    index across() const { return ceil_div(w, 4); }
    index tiles() const { return n * down() * across(); }

    // First pixel of the tile's results (top, left), and where its image begins.
    struct Place {
        index image, top, left;
    };
    Place place(index tile) const {
        index of_image = tile % (down() * across());
        return {tile / (down() * across()) * h * w * c, of_image / across() * 4, of_image % across() * 4};
    }
};

// B' d B of W channels of a tile, whose pixels outside the image are zero.
template <typename T>
inline void transform_pixels(const T *x, const Maps &maps, Maps::Place at, vec *out) {
    vec half[6][6];
    for (index i = 0; i < 6; i++) {
        vec row[6];
        for (index j = 0; j < 6; j++) {
            index y = at.top - 1 + i, z = at.left - 1 + j;
            bool inside = y >= 0 && y < maps.h && z >= 0 && z < maps.w;
            row[j] = inside ? load(x + (y * maps.w + z) * maps.c) : splat(0);
        }
        of_pixels(row, half[i]);
    }
    for (index j = 0; j < 6; j++) {
        vec column[6], t[6];
        for (index i = 0; i < 6; i++) column[i] = half[i][j];
        of_pixels(column, t);
        for (index i = 0; i < 6; i++) out[i * 6 + j] = t[i];
    }
}

// Asks for pixels of the tile that comes next: the transform of this one hides how long they take. The processor cannot
// foresee them, since they lie c apart. Of a tile's six by six pixels these are the ones that it does not share with the
// tile to its left, but for the uppermost row, which is there; of gradients all four by four. Those outside the image
// are others, or none: asking does no harm, so the addresses are plain numbers.
template <int LINES, int FIRST, typename T> inline void fetch(const T *x, const Maps &maps, Maps::Place at) {
    const auto from = reinterpret_cast<std::uintptr_t>(x);
    for (index i = 0; i < LINES; i++)
        for (index j = FIRST; j < FIRST + 4; j++) {
            const index place = ((at.top + i) * maps.w + at.left + j) * maps.c;
            __builtin_prefetch(reinterpret_cast<const void *>(from + std::uintptr_t(place) * sizeof(T)));
        }
}

// A dy A' of W channels of a tile.
template <typename T>
inline void transform_gradients(const T *dy, const Maps &maps, Maps::Place at, vec *out) {
    vec half[4][6];
    for (index i = 0; i < 4; i++) {
        vec row[4];
        for (index j = 0; j < 4; j++) {
            index y = at.top + i, z = at.left + j;
            row[j] = y < maps.h && z < maps.w ? load(dy + (y * maps.w + z) * maps.c) : splat(0);
        }
        of_results(row, half[i]);
    }
    for (index j = 0; j < 6; j++) {
        vec column[4], m[6];
        for (index i = 0; i < 4; i++) column[i] = half[i][j];
        of_results(column, m);
        for (index i = 0; i < 6; i++) out[i * 6 + j] = m[i];
    }
}

// A' m A of W channels of a tile, plus the bias; results outside the image are dropped.
template <typename T>
inline void transform_results(const float *m, index between, const float *bias, T *y, const Maps &maps,
                              Maps::Place at) {
    vec half[4][6], shift = bias ? load(bias) : splat(0);
    for (index j = 0; j < 6; j++) {
        vec column[6], t[4];
        for (index i = 0; i < 6; i++) column[i] = load(m + (i * 6 + j) * between);
        to_results(column, t);
        for (index i = 0; i < 4; i++) half[i][j] = t[i];
    }
    for (index i = 0; i < 4 && at.top + i < maps.h; i++) {
        vec row[4];
        to_results(half[i], row);
        for (index j = 0; j < 4 && at.left + j < maps.w; j++)
            store(y + ((at.top + i) * maps.w + at.left + j) * maps.c, row[j] + shift);
    }
}

// G' du G: from W gradients by transformed weights to those by the weights.
inline void transform_weights_back(const float *du, index between, float *dg, index apart) {
    vec half[3][6];
    for (index j = 0; j < 6; j++)
        for (index y = 0; y < 3; y++) {
            vec sum = splat(0);
            for (index i = 0; i < 6; i++) sum += G[i][y] * load(du + (i * 6 + j) * between);
            half[y][j] = sum;
        }
    for (index y = 0; y < 3; y++)
        for (index x = 0; x < 3; x++) {
            vec sum = splat(0);
            for (index j = 0; j < 6; j++) sum += G[j][x] * half[y][j];
            store(dg + (y * 3 + x) * apart, sum);
        }
}

// N rows and PANEL columns of a matrix product: sum[r] += sum over k of a[r * row + k * step] * b[k].
template <int N, typename F>
inline void accumulate(vec (&sum)[N][2], const F *a, index row, index step, const F *b, index count) {
    using Of = Factors<F>;
    for (index k = 0; k < count; k += Of::DEPTH) {
        auto left = Of::load(b + k * PANEL), right = Of::load(b + k * PANEL + W * Of::DEPTH);
#pragma GCC unroll 16
        for (int r = 0; r < N; r++) {
            auto value = Of::splat(a + r * row + k * step);
            sum[r][0] = Of::add(sum[r][0], value, left);
            sum[r][1] = Of::add(sum[r][1], value, right);
        }
    }
}

// The same from zero, written to out[r] or added to it.
template <int N, typename F>
inline void multiply(const F *a, index row, index step, const F *b, index count, float *out, index to, bool add) {
    vec sum[N][2];
#pragma GCC unroll 16
    for (int r = 0; r < N; r++) sum[r][0] = sum[r][1] = splat(0);
    accumulate<N>(sum, a, row, step, b, count);
#pragma GCC unroll 16
    for (int r = 0; r < N; r++) {
        float *at = out + r * to;
        store(at, add ? load(at) + sum[r][0] : sum[r][0]);
        store(at + W, add ? load(at + W) + sum[r][1] : sum[r][1]);
    }
}

// The same of the first n rows, from 1 to N.
template <int N, typename F>
void multiply_rows(index n, const F *a, index row, index step, const F *b, index count, float *out, index to) {
    if (n == N) return multiply<N>(a, row, step, b, count, out, to, false);
    if constexpr (N > 1) multiply_rows<N - 1>(n, a, row, step, b, count, out, to);
}

// Room for numbers, freed at the end of a scope; null where memory is lacking.
template <typename T> struct Room {
    T *const at;
    explicit Room(index numbers)
        : at(static_cast<T *>(std::aligned_alloc(64, ceil_div(numbers * index(sizeof(T)), 64) * 64))) {}
    ~Room() { std::free(at); }
    Room(const Room &) = delete;
};

// u = G g G', as (P, o / PANEL, c, PANEL): the columns of a product lie together. The weights g (o, c, 3, 3) have the
// given strides. Mirrored weights, with c and o exchanged by their strides, give the gradient by the pixels.
template <typename F>
void transform_weights(const float *g, F *u, index o, index c, index of_o, index of_c, index of_row, index of_column,
                       int mirrored, int threads) {
    constexpr index DEPTH = Factors<F>::DEPTH;
    const index parts = c / DEPTH, of_place = o * c;
#pragma omp parallel for num_threads(threads)
    for (index part = 0; part < o / PANEL * parts; part++) {
        const index q = part / parts, k = part % parts * DEPTH;
        for (index first = 0; first < PANEL; first += W) {
            vec values[DEPTH][P];
            for (index d = 0; d < DEPTH; d++) {
                vec weight[3][3], half[6][3];
                for (index y = 0; y < 3; y++)
                    for (index x = 0; x < 3; x++) {
                        index row = mirrored ? 2 - y : y, column = mirrored ? 2 - x : x;
                        const float *from = g + (k + d) * of_c + row * of_row + column * of_column;
                        for (index i = 0; i < W; i++) weight[y][x][i] = from[(q * PANEL + first + i) * of_o];
                    }
                for (index i = 0; i < 6; i++)
                    for (index x = 0; x < 3; x++)
                        half[i][x] = G[i][0] * weight[0][x] + G[i][1] * weight[1][x] + G[i][2] * weight[2][x];
                for (index i = 0; i < 6; i++)
                    for (index j = 0; j < 6; j++)
                        values[d][i * 6 + j] = G[j][0] * half[i][0] + G[j][1] * half[i][1] + G[j][2] * half[i][2];
            }
            F *to = u + (q * c + k) * PANEL + first * DEPTH;
            for (index p = 0; p < P; p++) Factors<F>::store(to + p * of_place, values, p);
        }
    }
}

// y (n, h, w, o), the convolution of x (n, h, w, c) with the weights g, whose strides are as above, plus the bias (o)
// unless it is null. Returns 0, or 1 where memory is lacking. No result depends on the number of threads.
template <typename F, typename T>
int convolution(const T *x, const float *g, const float *bias, T *y, index n, index h, index w, index c, index o,
                index of_o, index of_c, index of_row, index of_column, int mirrored, int threads) {
    const Maps in{n, h, w, c}, out{n, h, w, o};
    const index tiles = in.tiles();
    // Tiles that a thread takes at a time: few enough for their transforms to stay in its cache, and the most of those
    // that leave the fewest to the thread with most.
    index block = 48;
    const auto most = [&](index of) { return ceil_div(ceil_div(tiles, of), threads) * of; };
    for (index fewer = block - ROWS; fewer > 0; fewer -= ROWS)
        if (most(fewer) < most(block)) block = fewer;
    const index of_v = block * c + PAD, of_m = block * o + PAD;
    const Room<F> weights(P * o * c), pixels(threads * P * of_v);
    const Room<float> results(threads * P * of_m);
    if (!weights.at || !pixels.at || !results.at) return 1;
    F *u = weights.at;
    transform_weights(g, u, o, c, of_o, of_c, of_row, of_column, mirrored, threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (index first = 0; first < tiles; first += block) {
        F *v = pixels.at + thread() * P * of_v;
        float *m = results.at + thread() * P * of_m;
        const index count = std::min(block, tiles - first);
        for (index t = 0; t < count; t++) {
            const Maps::Place at = in.place(first + t), next = in.place(std::min(first + t + 1, tiles - 1));
            for (index k = 0; k < c; k += W) {
                vec values[P];
                fetch<5, 1>(x + next.image + k, in, next);
                transform_pixels(x + at.image + k, in, at, values);
                for (index p = 0; p < P; p++) store(v + p * of_v + t * c + k, values[p]);
            }
        }
        for (index p = 0; p < P; p++)
            for (index q = 0; q < o / PANEL; q++)
                for (index t = 0; t < count; t += ROWS)
                    multiply_rows<ROWS>(std::min(ROWS, count - t), v + p * of_v + t * c, c, 1,
                                        u + (p * (o / PANEL) + q) * c * PANEL, c, m + p * of_m + t * o + q * PANEL, o);
        for (index t = 0; t < count; t++) {
            const Maps::Place at = out.place(first + t);
            for (index k = 0; k < o; k += W)
                transform_results(m + t * o + k, of_m, bias ? bias + k : nullptr, y + at.image + k, out, at);
        }
    }
    return 0;
}

// dg (3, 3, c, o), the gradient by the weights: of x (n, h, w, c) and the gradient dy (n, h, w, o) by the results.
// Returns as above.
template <typename F, typename T>
int gradient(const T *x, const T *dy, float *dg, index n, index h, index w, index c, index o, int threads) {
    constexpr index DEPTH = Factors<F>::DEPTH;
    const Maps in{n, h, w, c}, out{n, h, w, o};
    const index tiles = in.tiles();
    const index block = ceil_div(std::min<index>(128, tiles), DEPTH) * DEPTH; // in the cache that all threads share
    const index of_v = block * c + PAD, of_d = block * o + PAD, of_u = c * o + PAD;
    const Room<F> pixels(P * of_v), gradients(P * of_d);
    const Room<float> weights(P * of_u);
    if (!pixels.at || !gradients.at || !weights.at) return 1;
    F *v = pixels.at, *d = gradients.at;
    float *du = weights.at;
#pragma omp parallel num_threads(threads)
    {
        for (index first = 0; first < tiles; first += block) {
            const index count = std::min(block, tiles - first);
#pragma omp for schedule(static)
            for (index t = 0; t < count; t += DEPTH) {
                // DEPTH tiles, whose products are added up; zeros where there are not as many.
                vec values[DEPTH][P] = {};
                const index terms = std::min(DEPTH, count - t);
                Maps::Place at[DEPTH] = {}, next[DEPTH] = {};
                for (index i = 0; i < terms; i++) {
                    at[i] = in.place(first + t + i);
                    next[i] = in.place(std::min(first + t + i + DEPTH, tiles - 1));
                }
                for (index k = 0; k < c; k += W) {
                    for (index i = 0; i < terms; i++) {
                        fetch<5, 1>(x + next[i].image + k, in, next[i]);
                        transform_pixels(x + at[i].image + k, in, at[i], values[i]);
                    }
                    F *to = v + (k / PANEL * block + t) * PANEL + k % PANEL * DEPTH;
                    for (index p = 0; p < P; p++) Factors<F>::store(to + p * of_v, values, p);
                }
                for (index i = 0; i < terms; i++) {
                    at[i] = out.place(first + t + i);
                    next[i] = out.place(std::min(first + t + i + DEPTH, tiles - 1));
                }
                for (index k = 0; k < o; k += W) {
                    for (index i = 0; i < terms; i++) {
                        fetch<4, 0>(dy + next[i].image + k, out, next[i]);
                        transform_gradients(dy + at[i].image + k, out, at[i], values[i]);
                    }
                    F *to = d + (k / PANEL * block + t) * PANEL + k % PANEL * DEPTH;
                    for (index p = 0; p < P; p++) Factors<F>::store(to + p * of_d, values, p);
                }
            }
            // The sum over tiles, place by place: block after block, so its order does not depend on the threads.
#pragma omp for schedule(dynamic, 1)
            for (index p = 0; p < P; p++)
                for (index q = 0; q < o / PANEL; q++)
                    for (index k = 0; k < c; k += SHORT)
                        multiply<SHORT>(v + p * of_v + k / PANEL * block * PANEL + k % PANEL * DEPTH, DEPTH, PANEL,
                                        d + p * of_d + q * block * PANEL, count, du + p * of_u + k * o + q * PANEL, o,
                                        first > 0);
        }
#pragma omp for schedule(static)
        for (index k = 0; k < c; k++)
            for (index q = 0; q < o; q += W) transform_weights_back(du + k * o + q, of_u, dg + k * o + q, c * o);
    }
    return 0;
}

// N following pixels of a row of results, for PANEL output channels: the sum over three rows of pixels x of a padded
// image; the weights u of the rows lie ``count * PANEL`` numbers apart.
template <int N, typename T>
void convolve(index n, const T *x, index line, index c, const T *u, index count, const float *bias, T *y, index o) {
    if (n < N) {
        if constexpr (N > 1) convolve<N - 1>(n, x, line, c, u, count, bias, y, o);
        return;
    }
    vec sum[N][2];
    for (int r = 0; r < N; r++)
        for (int half = 0; half < 2; half++) sum[r][half] = bias ? load(bias + half * W) : splat(0);
    // The three pixels and c channels that a result needs of a row lie together; the next result's begin c further on.
    for (index row = 0; row < 3; row++) accumulate<N>(sum, x + row * line, c, 1, u + row * count * PANEL, count);
    for (int r = 0; r < N; r++)
        for (int half = 0; half < 2; half++) store(y + r * o + half * W, sum[r][half]);
}

// The same as convolution(), directly: for few channels c, where transforms would cost more than they save.
template <typename T>
int few_channels(const T *x, const float *g, const float *bias, T *y, index n, index h, index w, index c, index o,
                 index of_o, index of_c, index of_row, index of_column, int threads) {
    constexpr index DEPTH = Factors<T>::DEPTH;
    // A row has 3 * c numbers. One more may be needed, with weight zero (but infinity times zero is NaN).
    const index count = ceil_div(3 * c, DEPTH) * DEPTH;
    const index line = (w + 2) * c, image = (h + 2) * line + DEPTH;
    const Room<T> weights(o * 3 * count), padded(threads * image);
    if (!weights.at || !padded.at) return 1;
    std::fill_n(weights.at, o * 3 * count, T());
    std::fill_n(padded.at, threads * image, T());
    for (index p = 0; p < o; p++)
        for (index row = 0; row < 3; row++)
            for (index k = 0; k < 3 * c; k++) {
                T *to = weights.at + ((p / PANEL * 3 + row) * count + k - k % DEPTH) * PANEL;
                put(to + p % PANEL * DEPTH + k % DEPTH, g[p * of_o + k % c * of_c + row * of_row + k / c * of_column]);
            }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (index i = 0; i < n; i++) {
        T *inside = padded.at + thread() * image; // its first and last row and column stay zero
        for (index row = 0; row < h; row++)
            std::copy_n(x + (i * h + row) * w * c, w * c, inside + (row + 1) * line + c);
        for (index row = 0; row < h; row++)
            for (index z = 0; z < w; z += ROWS)
                for (index q = 0; q < o; q += PANEL)
                    convolve<ROWS>(std::min(ROWS, w - z), inside + row * line + z * c, line, c,
                                   weights.at + q * 3 * count, count, bias ? bias + q : nullptr,
                                   y + ((i * h + row) * w + z) * o + q, o);
    }
    return 0;
}

template <typename T> const T *as(const void *maps) { return static_cast<const T *>(maps); }
template <typename T> T *as(void *maps) { return static_cast<T *>(maps); }

} // namespace

// What Python calls. The maps x, y and dy are float32, or bfloat16 if ``halved``; then the factors of products may be
// bfloat16 too, if ``rough``.
extern "C" {

index panel() { return PANEL; }

// Whether the processor multiplies bfloat16; elsewhere it is worked out in float32.
int multiplies_bfloat16() {
#ifdef __AVX512BF16__
    return 1;
#else
    return 0;
#endif
}

int winograd_convolution(const void *x, const float *g, const float *bias, void *y, index n, index h, index w, index c,
                         index o, index of_o, index of_c, index of_row, index of_column, int mirrored, int halved,
                         int rough, int threads) {
    auto run = [&](auto factor, auto pixel) {
        using F = decltype(factor);
        using T = decltype(pixel);
        return convolution<F>(as<T>(x), g, bias, as<T>(y), n, h, w, c, o, of_o, of_c, of_row, of_column, mirrored,
                              threads);
    };
    if (!halved) return run(float(), float());
    return rough ? run(bfloat16(), bfloat16()) : run(float(), bfloat16());
}

// Maps in bfloat16.
int few_channels_convolution(const void *x, const float *g, const float *bias, void *y, index n, index h, index w,
                             index c, index o, index of_o, index of_c, index of_row, index of_column, int threads) {
    return few_channels(as<bfloat16>(x), g, bias, as<bfloat16>(y), n, h, w, c, o, of_o, of_c, of_row, of_column,
                        threads);
}

int winograd_gradient(const void *x, const void *dy, float *dg, index n, index h, index w, index c, index o, int halved,
                      int rough, int threads) {
    auto run = [&](auto factor, auto pixel) {
        using T = decltype(pixel);
        return gradient<decltype(factor)>(as<T>(x), as<T>(dy), dg, n, h, w, c, o, threads);
    };
    if (!halved) return run(float(), float());
    return rough ? run(bfloat16(), bfloat16()) : run(float(), bfloat16());
}
}
