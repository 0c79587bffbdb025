// Convolutions with 3x3 weights by Winograd's minimal filtering F(4x4, 3x3): stride 1, one row of zeros on each side.
//
// A tile of 4x4 results needs 6x6 pixels and, computed directly, 4 * 4 * 9 = 144 products for every pair of channels.
// Between three small linear transforms it needs 36 (Lavin and Gray, "Fast algorithms for convolutional neural
// networks", 2016, section 4.3):
//
//     y = A' [ (G g G') * (B' d B) ] A           g weights (3x3), d pixels (6x6), y results (4x4), * number by number
//
// Summed over the channels of d, the middle is 36 independent matrix products, one for every place p of the 6x6:
// (tiles x channels) times (channels x output channels). Its transpose gives the gradient by the weights.
//
// Maps are float32 and channels last: (n, h, w, c) in memory. Channels of both sides are multiples of PANEL.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

using index = std::ptrdiff_t;

constexpr index W = 8;      // numbers in a vector
constexpr index PANEL = 16; // columns of a matrix product that are computed together: two vectors
constexpr index ROWS = 6;   // and its rows: 6 * 2 sums, 2 vectors of one factor, one of the other: 15 of 16 registers
constexpr index P = 36;     // places of a transformed tile
constexpr index PAD = 16;   // numbers between two places, so that equal offsets do not share a set of the cache

typedef float vec __attribute__((vector_size(32), aligned(4), may_alias));

inline vec load(const float *from) { return *reinterpret_cast<const vec *>(from); }
inline void store(float *to, vec value) { *reinterpret_cast<vec *>(to) = value; }
inline vec all(float value) { return vec{value, value, value, value, value, value, value, value}; }
inline index up(index a, index b) { return (a + b - 1) / b; }

int me() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

// The transforms of one row or column.

// B': six pixels to six places.
inline void of_pixels(const vec *d, vec *t) {
    vec a = d[4] - 4.f * d[2], b = d[3] - 4.f * d[1], c = d[4] - d[2], e = 2.f * (d[3] - d[1]);
    t[0] = 4.f * d[0] - 5.f * d[2] + d[4];
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = 4.f * d[1] - 5.f * d[3] + d[5];
}

// A': six places to four results.
inline void to_results(const vec *m, vec *y) {
    vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
    y[0] = m[0] + a + c;
    y[1] = b + 2.f * e;
    y[2] = a + 4.f * c;
    y[3] = b + 8.f * e + m[5];
}

// A: four gradients of results to six places.
inline void of_results(const vec *y, vec *m) {
    vec a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4.f * y[2], e = 2.f * y[1] + 8.f * y[3];
    m[0] = y[0];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = c + e;
    m[4] = c - e;
    m[5] = y[3];
}

// G: three weights to six places.
constexpr float G[6][3] = {{1 / 4.f, 0, 0},
                           {-1 / 6.f, -1 / 6.f, -1 / 6.f},
                           {-1 / 6.f, 1 / 6.f, -1 / 6.f},
                           {1 / 24.f, 1 / 12.f, 1 / 6.f},
                           {1 / 24.f, -1 / 12.f, 1 / 6.f},
                           {0, 0, 1}};

// Maps of one side of a convolution, and how their tiles are counted: image by image, row by row.
struct Maps {
    index n, h, w, c;
    index down() const { return up(h, 4); }
    index across() const { return up(w, 4); }
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
inline void transform_pixels(const float *x, const Maps &maps, Maps::Place at, vec *out) {
    vec half[6][6];
    for (index i = 0; i < 6; i++) {
        vec row[6];
        for (index j = 0; j < 6; j++) {
            index y = at.top - 1 + i, z = at.left - 1 + j;
            bool inside = y >= 0 && y < maps.h && z >= 0 && z < maps.w;
            row[j] = inside ? load(x + (y * maps.w + z) * maps.c) : all(0);
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

// A dy A' of W channels of a tile.
inline void transform_gradients(const float *dy, const Maps &maps, Maps::Place at, vec *out) {
    vec half[4][6];
    for (index i = 0; i < 4; i++) {
        vec row[4];
        for (index j = 0; j < 4; j++) {
            index y = at.top + i, z = at.left + j;
            row[j] = y < maps.h && z < maps.w ? load(dy + (y * maps.w + z) * maps.c) : all(0);
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
inline void transform_results(const float *m, index between, const float *bias, float *y, const Maps &maps,
                              Maps::Place at) {
    vec half[4][6], shift = bias ? load(bias) : all(0);
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
            vec sum = all(0);
            for (index i = 0; i < 6; i++) sum += G[i][y] * load(du + (i * 6 + j) * between);
            half[y][j] = sum;
        }
    for (index y = 0; y < 3; y++)
        for (index x = 0; x < 3; x++) {
            vec sum = all(0);
            for (index j = 0; j < 6; j++) sum += G[j][x] * half[y][j];
            store(dg + (y * 3 + x) * apart, sum);
        }
}

// N rows and PANEL columns of a matrix product: out[r] (+)= sum over k of a[r * row + k * step] * b[k].
template <int N>
inline void multiply(const float *a, index row, index step, const float *b, index count, float *out, index to,
                     bool add) {
    vec sum[N][2];
#pragma GCC unroll 6
    for (int r = 0; r < N; r++) sum[r][0] = sum[r][1] = all(0);
    for (index k = 0; k < count; k++) {
        vec left = load(b + k * PANEL), right = load(b + k * PANEL + W);
#pragma GCC unroll 6
        for (int r = 0; r < N; r++) {
            vec value = all(a[r * row + k * step]);
            sum[r][0] += value * left;
            sum[r][1] += value * right;
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < N; r++) {
        float *at = out + r * to;
        store(at, add ? load(at) + sum[r][0] : sum[r][0]);
        store(at + W, add ? load(at + W) + sum[r][1] : sum[r][1]);
    }
}

void multiply_rows(index n, const float *a, index row, index step, const float *b, index count, float *out, index to,
                   bool add) {
    switch (n) {
    case 6: return multiply<6>(a, row, step, b, count, out, to, add);
    case 5: return multiply<5>(a, row, step, b, count, out, to, add);
    case 4: return multiply<4>(a, row, step, b, count, out, to, add);
    case 3: return multiply<3>(a, row, step, b, count, out, to, add);
    case 2: return multiply<2>(a, row, step, b, count, out, to, add);
    default: return multiply<1>(a, row, step, b, count, out, to, add);
    }
}

float *room(index numbers) {
    return static_cast<float *>(std::aligned_alloc(64, up(numbers * index(sizeof(float)), 64) * 64));
}

} // namespace

extern "C" {

// u = G g G', as (P, o / PANEL, c, PANEL): the columns of a product lie together. The weights g (o, c, 3, 3) have the
// given strides. Mirrored weights, with c and o exchanged by their strides, give the gradient by the pixels.
void winograd_weights(const float *g, float *u, index o, index c, index of_o, index of_c, index of_row, index of_column,
                      int mirrored, int threads) {
#pragma omp parallel for num_threads(threads)
    for (index part = 0; part < o / PANEL * c; part++) {
        index q = part / c, k = part % c;
        float weight[3][3][PANEL], half[6][3][PANEL];
        for (index y = 0; y < 3; y++)
            for (index x = 0; x < 3; x++) {
                index row = mirrored ? 2 - y : y, column = mirrored ? 2 - x : x;
                const float *from = g + q * PANEL * of_o + k * of_c + row * of_row + column * of_column;
                for (index i = 0; i < PANEL; i++) weight[y][x][i] = from[i * of_o];
            }
        for (index a = 0; a < 6; a++)
            for (index x = 0; x < 3; x++)
                for (index i = 0; i < PANEL; i++)
                    half[a][x][i] = G[a][0] * weight[0][x][i] + G[a][1] * weight[1][x][i] + G[a][2] * weight[2][x][i];
        for (index a = 0; a < 6; a++)
            for (index b = 0; b < 6; b++) {
                float *to = u + (((a * 6 + b) * (o / PANEL) + q) * c + k) * PANEL;
                for (index i = 0; i < PANEL; i++)
                    to[i] = G[b][0] * half[a][0][i] + G[b][1] * half[a][1][i] + G[b][2] * half[a][2][i];
            }
    }
}

// y (n, h, w, o), the convolution of x (n, h, w, c) with the transformed weights u, plus the bias (o) unless it is
// null. Returns 0, or 1 where memory is lacking. No result depends on the number of threads.
int winograd_convolution(const float *x, const float *u, const float *bias, float *y, index n, index h, index w,
                         index c, index o, int threads) {
    const Maps in{n, h, w, c}, out{n, h, w, o};
    const index tiles = in.tiles();
    // Tiles that a thread takes at a time: their transforms stay in its cache. Fewer where there are few.
    const index block = std::min<index>(48, up(up(tiles, threads), ROWS) * ROWS);
    const index of_v = block * c + PAD, of_m = block * o + PAD;
    float *memory = room(threads * P * (of_v + of_m));
    if (!memory) return 1;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (index first = 0; first < tiles; first += block) {
        float *v = memory + me() * P * (of_v + of_m), *m = v + P * of_v;
        const index count = std::min(block, tiles - first);
        for (index t = 0; t < count; t++) {
            const Maps::Place at = in.place(first + t);
            for (index k = 0; k < c; k += W) {
                vec values[P];
                transform_pixels(x + at.image + k, in, at, values);
                for (index p = 0; p < P; p++) store(v + p * of_v + t * c + k, values[p]);
            }
        }
        for (index p = 0; p < P; p++)
            for (index q = 0; q < o / PANEL; q++)
                for (index t = 0; t < count; t += ROWS)
                    multiply_rows(std::min(ROWS, count - t), v + p * of_v + t * c, c, 1,
                                  u + (p * (o / PANEL) + q) * c * PANEL, c, m + p * of_m + t * o + q * PANEL, o, false);
        for (index t = 0; t < count; t++) {
            const Maps::Place at = out.place(first + t);
            for (index k = 0; k < o; k += W)
                transform_results(m + t * o + k, of_m, bias ? bias + k : nullptr, y + at.image + k, out, at);
        }
    }
    std::free(memory);
    return 0;
}

// dg (3, 3, c, o), the gradient by the weights: of x (n, h, w, c) and the gradient dy (n, h, w, o) by the results.
// Returns as above.
int winograd_gradient(const float *x, const float *dy, float *dg, index n, index h, index w, index c, index o,
                      int threads) {
    const Maps in{n, h, w, c}, out{n, h, w, o};
    const index tiles = in.tiles();
    const index block = std::min<index>(256, tiles); // transforms of all threads stay in the cache that they share
    const index of_v = block * c + PAD, of_d = block * o + PAD, of_u = c * o + PAD;
    float *v = room(P * (of_v + of_d + of_u));
    if (!v) return 1;
    float *d = v + P * of_v, *du = d + P * of_d;
#pragma omp parallel num_threads(threads)
    {
        for (index first = 0; first < tiles; first += block) {
            const index count = std::min(block, tiles - first);
#pragma omp for schedule(static)
            for (index t = 0; t < count; t++) {
                const Maps::Place of_x = in.place(first + t), of_y = out.place(first + t);
                vec values[P];
                for (index k = 0; k < c; k += W) {
                    transform_pixels(x + of_x.image + k, in, of_x, values);
                    float *to = v + (k / PANEL * block + t) * PANEL + k % PANEL;
                    for (index p = 0; p < P; p++) store(to + p * of_v, values[p]);
                }
                for (index k = 0; k < o; k += W) {
                    transform_gradients(dy + of_y.image + k, out, of_y, values);
                    float *to = d + (k / PANEL * block + t) * PANEL + k % PANEL;
                    for (index p = 0; p < P; p++) store(to + p * of_d, values[p]);
                }
            }
            // The sum over tiles, place by place: block after block, so its order does not depend on the threads.
#pragma omp for schedule(dynamic, 1)
            for (index p = 0; p < P; p++)
                for (index q = 0; q < o / PANEL; q++)
                    for (index k = 0; k < c; k += 4) // four rows: a divisor of PANEL
                        multiply<4>(v + p * of_v + k / PANEL * block * PANEL + k % PANEL, 1, PANEL,
                                    d + p * of_d + q * block * PANEL, count, du + p * of_u + k * o + q * PANEL, o,
                                    first > 0);
        }
#pragma omp for schedule(static)
        for (index k = 0; k < c; k++)
            for (index q = 0; q < o; q += W) transform_weights_back(du + k * o + q, of_u, dg + k * o + q, c * o);
    }
    std::free(v);
    return 0;
}
}
