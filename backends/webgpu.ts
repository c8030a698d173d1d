/**
 * The graphics card, as the runtime offers it.
 *
 * @module
 */

/** Limits that kernels of whole models run into; a device has the smallest unless asked for more. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Features that kernels use where they are there. */
const FEATURES = ["shader-f16", "subgroups"] as const;

/**
 * Keeps an adapter as long as its device: Deno 2.9 ends the process when a device is asked about an
 * adapter that was collected ("Adapter is no longer alive").
 */
const adapters = new WeakMap<GPUDevice, GPUAdapter>();

/**
 * An adapter.
 *
 * @param backend Whose it will be, for the message.
 * @throws {Error} When there is none, saying what to switch on.
 */
export async function requireAdapter(backend: string): Promise<GPUAdapter> {
  const { gpu } = navigator as { readonly gpu?: GPU };
  if (!gpu) {
    throw new Error(
      `Cannot use ${backend} as this runtime must offer WebGPU: it does not; Deno does from 2.9 on, ` +
        "Chromium in a page from https: or localhost",
    );
  }
  const adapter = await gpu.requestAdapter();
  if (!adapter) {
    throw new Error(
      `Cannot use ${backend} as a graphics adapter must be found: there is none; on Linux install a ` +
        "Vulkan driver (libvulkan1, and mesa-vulkan-drivers for one in software)",
    );
  }
  return adapter;
}

/**
 * A device with all that its adapter allows.
 *
 * @throws {Error} As {@linkcode requireAdapter}.
 */
export async function openGpu(backend: string): Promise<GPUDevice> {
  const adapter = await requireAdapter(backend);
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  const requiredFeatures = FEATURES.filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
  adapters.set(device, adapter);
  return device;
}
