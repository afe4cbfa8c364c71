// The part of the HTTP protocol (docs/http-api.md) that server and client share. Only constants, path
// builders and JSON shapes belong here. Code that uses them belongs to the server or the client.

export {
  ALLOW_HEADER,
  CONTENT_TYPE,
  JSON_LENGTH_HEADER,
  KEY_SET_HEADER,
  PREFER_ASYNC,
  PREFER_HEADER,
  PREFER_MINIMAL,
  PROTOCOL_HEADERS,
  REQUEST_ID_HEADER,
  RETRY_AFTER_HEADER,
  UPLOAD_OFFSET_HEADER,
} from './headers.ts'
export {
  ANSWER_HEADER_NAME,
  type AnswerHeader,
  answerHeaderSchema,
  BINARY_DATATYPE,
  INFERENCE_ID,
  QUERY_HEADER_NAME,
  type QueryHeader,
  queryHeaderSchema,
} from './inference.ts'
export {
  keySetAnnouncementSchema,
  keySetSchema,
  keyUploadProgressSchema,
  keyUploadSchema,
  MAX_GALOIS_ELEMENTS,
} from './key-sets.ts'
export { MAX_JSON_HEADER_BYTES, MAX_KEY_SET_ID, MAX_PART_BYTES } from './limits.ts'
export { BYTES_MEDIA_TYPE, EVENTS_MEDIA_TYPE, JSON_MEDIA_TYPE, PROBLEM_MEDIA_TYPE } from './media-types.ts'
export { modelListSchema, modelSchema, tensorSchema } from './models.ts'
export { PRESENTATION_MEMBERS, type Problem, problemSchema } from './problem.ts'
export { type PathParams, pathOf, ROUTES, routeOf } from './routes.ts'
export { CKKS_EXTENSION, SERVER_EXTENSIONS, serverMetadataSchema } from './server.ts'
