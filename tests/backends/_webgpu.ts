/**
 * Whether WebGPU is tested in this process.
 *
 * @module
 */

interface Gpu {
  requestAdapter(): Promise<object | null>;
}

/**
 * Why WebGPU is not tested here; nothing where it is. On a software adapter the suite takes minutes and
 * now and then ends the process badly, so it is asked for; `deno task test:browser` has its own.
 */
export async function webGpuSkip(): Promise<string | undefined> {
  if (Deno.env.get("SPPO_TEST_WEBGPU") === undefined) return "SPPO_TEST_WEBGPU=1 runs it";
  const { gpu } = navigator as { readonly gpu?: Gpu };
  if (!gpu) return "this Deno has no WebGPU";
  return await gpu.requestAdapter()
    ? undefined
    : "no graphics adapter (libvulkan1 and mesa-vulkan-drivers bring one in software)";
}
