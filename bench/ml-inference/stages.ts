import { decrypt, encryptInput, generateKeys, postprocess, preprocessInput } from './client.ts'
import { compute, preprocessModel } from './server.ts'
import { workspace } from './workspace.ts'

/** The stages by the names of the harness's programs, in their order. The model's gets no size. */
export const STAGES: Readonly<Record<string, (root: string, size: number) => Promise<void>>> = {
  client_key_generation: (root, size) => generateKeys(workspace(root, size)),
  server_preprocess_model: (root) => preprocessModel(root),
  client_preprocess_input: (root, size) => preprocessInput(workspace(root, size)),
  client_encode_encrypt_input: (root, size) => encryptInput(workspace(root, size)),
  server_encrypted_compute: (root, size) => compute(workspace(root, size)),
  client_decrypt_decode: (root, size) => decrypt(workspace(root, size)),
  client_postprocess: (root, size) => postprocess(workspace(root, size)),
}
