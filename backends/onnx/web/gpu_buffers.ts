/**
 * Buffers on a graphics card. What is given back is taken again for the next tensor of its size, so a
 * state that is replaced at each run goes to and fro between two buffers.
 *
 * @module
 */

/** A float32 tensor in a buffer of its own. */
export interface GpuTensor {
  readonly shape: readonly number[];
  readonly buffer: GPUBuffer;
}

/** Bytes of a tensor. */
export const tensorBytes = (shape: readonly number[]): number =>
  4 * shape.reduce((product, size) => product * size, 1);

/** Bytes of buffers that are kept although no tensor is in them. */
const MOST_SPARE = 2 ** 28;

/** Kernels read vectors of four. */
const MULTIPLE = 16;

/** See the module's text. */
export class GpuBuffers {
  readonly device: GPUDevice;
  readonly #spare = new Map<number, GPUBuffer[]>();
  #spareBytes = 0;
  #taken = 0;
  #failure: string | undefined;

  /** @param device It is destroyed with this. */
  constructor(device: GPUDevice) {
    this.device = device;
    device.addEventListener("uncapturederror", (event) => {
      this.#failure ??= (event as GPUUncapturedErrorEvent).error.message;
    });
    device.lost.then(({ message, reason }) => {
      if (reason !== "destroyed") this.#failure ??= `it was lost: ${message}`;
    });
  }

  /** Tensors there are. */
  get taken(): number {
    return this.#taken;
  }

  /** @throws {Error} When the device has failed; what it computed since then may be wrong. */
  checkWorking(doing: string): void {
    if (this.#failure !== undefined) {
      throw new Error(`Cannot ${doing} as the graphics device must work: ${this.#failure}`);
    }
  }

  /** A tensor of unspecified values. */
  take(shape: readonly number[]): GpuTensor {
    const size = MULTIPLE * Math.ceil(tensorBytes(shape) / MULTIPLE);
    this.#taken++;
    const spare = this.#spare.get(size)?.pop();
    if (spare) {
      this.#spareBytes -= size;
      return { shape: [...shape], buffer: spare };
    }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return { shape: [...shape], buffer: this.device.createBuffer({ size, usage }) };
  }

  /** Gives a tensor's buffer back. */
  give({ buffer }: GpuTensor): void {
    const { size } = buffer;
    this.#taken--;
    if (this.#spareBytes + size > MOST_SPARE) {
      buffer.destroy();
      return;
    }
    this.#spareBytes += size;
    const list = this.#spare.get(size);
    if (list) list.push(buffer);
    else this.#spare.set(size, [buffer]);
  }

  /** A tensor of these values. */
  upload(shape: readonly number[], values: Float32Array): GpuTensor {
    const tensor = this.take(shape);
    this.device.queue.writeBuffer(tensor.buffer, 0, values as Float32Array<ArrayBuffer>);
    return tensor;
  }

  /** The values of a tensor. */
  async download({ buffer, shape }: GpuTensor): Promise<Float32Array> {
    const size = tensorBytes(shape);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const reader = this.device.createBuffer({ size, usage });
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, reader, 0, size);
      this.device.queue.submit([encoder.finish()]);
      await reader.mapAsync(GPUMapMode.READ);
      this.checkWorking("read a tensor");
      return new Float32Array(reader.getMappedRange().slice(0));
    } finally {
      reader.destroy();
    }
  }

  /** A tensor of rows, one part after the other. */
  assemble(
    parts: readonly {
      readonly tensor: GpuTensor;
      readonly start: number;
      readonly count: number;
    }[],
  ): GpuTensor {
    const inner = parts[0]!.tensor.shape.slice(1);
    const row = tensorBytes(inner);
    const rows = parts.reduce((sum, { count }) => sum + count, 0);
    const whole = this.take([rows, ...inner]);
    const encoder = this.device.createCommandEncoder();
    let at = 0;
    for (const { tensor: { buffer }, start, count } of parts) {
      encoder.copyBufferToBuffer(buffer, start * row, whole.buffer, at, count * row);
      at += count * row;
    }
    this.device.queue.submit([encoder.finish()]);
    return whole;
  }

  /** Destroys the device. */
  destroy(): void {
    this.#spare.clear();
    this.device.destroy();
  }
}
